"""Which keys and tokens should somebody look at, and what is to be done about them?"""
