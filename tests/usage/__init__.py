"""Does usage get into the store, all of it and once?"""
