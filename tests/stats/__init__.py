"""Is the right usage selected?"""
