"""Would a test notice if a guard, an ownership clause or a comparison in the cryptography were not there?"""
