"""A module that ends the process that imports it."""

import sys

sys.exit("this plugin wants to end neox")
