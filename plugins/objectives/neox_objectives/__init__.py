"""neox_objectives"""
