#!/bin/sh
# The coordinator: begins the study, or goes on with it if its folder is there, as after a restart.
# Its arguments are those of both.
set -eu
folder=${FOLDER:-/results/surge}
if [ -e "$folder" ]; then
  exec leasestorm-cluster map --resume "$folder" "$@"
fi
exec leasestorm-cluster map surge --leases 20000 --broken 2000 --x beta=1:4:9 --y rho=0.1:0.5:6 --seeds 5 --contestants fifo,lifo --out "$folder" "$@"
