"""neox_optimizers"""
