"""neox_attention"""
