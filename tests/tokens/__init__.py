"""Do API tokens keep their promises?"""
