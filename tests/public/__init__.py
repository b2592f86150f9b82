"""Does the public API answer as it promises?"""
