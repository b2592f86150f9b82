"""Who may do what, and whose things does anybody see?"""
