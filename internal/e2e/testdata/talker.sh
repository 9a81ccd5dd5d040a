#!/bin/sh
# A worker that says that it is ready, and then does what is written to its FIFO, line by line.
f=$1.$INSTANCE
mkdir -p "${f%/*}"
rm -f "$f"
mkfifo "$f"
exec 3<>"$f"
echo "ready $INSTANCE"
while read -r line <&3; do eval "$line"; done
