import sys

print("reading the configuration")
sys.exit("no such database: orders")
