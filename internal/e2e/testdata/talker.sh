#!/bin/sh
# A worker that prints that it is ready, and then runs each line that is written to its FIFO as a command.
f=$1.$INSTANCE
mkdir -p "${f%/*}"
rm -f "$f"
mkfifo "$f"
exec 3<>"$f"
echo "ready $INSTANCE"
while read -r line <&3; do eval "$line"; done
