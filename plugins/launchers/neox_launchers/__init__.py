"""neox_launchers"""
