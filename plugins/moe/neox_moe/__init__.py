"""neox_moe"""
