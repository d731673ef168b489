"""neox_loggers"""
