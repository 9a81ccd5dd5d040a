#!/bin/sh
# This worker prints "ready" and its instance number, and then runs each line that it reads from its FIFO as a command.
f=$1.$INSTANCE
mkdir -p "${f%/*}"
rm -f "$f"
mkfifo "$f"
exec 3<>"$f"
echo "ready $INSTANCE"
while read -r line <&3; do eval "$line"; done
