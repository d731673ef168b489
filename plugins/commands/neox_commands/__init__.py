"""neox_commands"""
