#!/bin/sh
# The coordinator: begins the study, or goes on with it if its folder is there, as after a restart.
# Its arguments are those of both. A study that another start would not change ends with status 0, so that
# nobody starts it again.
set -eu
folder=${FOLDER:-/results/surge}
if [ -e "$folder" ]; then
  set -- map --resume "$folder" "$@"
else
  set -- map surge --leases 20000 --broken 2000 --x beta=1:4:9 --y rho=0.1:0.5:6 --seeds 5 --contestants fifo,lifo --out "$folder" "$@"
fi
leasestorm-cluster "$@" &
study=$!
trap 'kill -TERM "$study"' TERM INT
status=0
wait "$study" || status=$?
if kill -0 "$study" 2>/dev/null; then # a signal ended the wait, and not the study
  status=0
  wait "$study" || status=$?
fi
case $status in
2) why="the command is refused" ;;
3 | 4) why="the study is whole" ;;
1)
  [ -s "$folder/.cluster/set-aside" ] || exit 1
  why="cells are set aside, since workers died with them: see above"
  ;;
*) exit "$status" ;;
esac
echo "study.sh: status $status: $why. Another start would change nothing." >&2
