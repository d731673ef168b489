"""neox_converters"""
