#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Many images, in portions of 50 000.  Each portion has a seed of its own, so that its workloads are others, and appends its
# line to tests/results/campaigns.tsv: a run that is interrupted loses a portion at most, and the next goes on.
#
#   campaign.sh IMAGES N [FILE]
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
images=$1
left=$2
file=${3:-$here/../results/campaigns.tsv}
portion=50000

about=$(sh "$here/../results/about.sh") || exit 1
seed=$(($(date +%s) * 100000 + $$ % 100000)) # two that begin in the same second draw others
while [ "$left" -gt 0 ]; do
    [ "$left" -gt "$portion" ] || portion=$left
    "$images" --random --images "$portion" --seed "$seed" --append "$file" --about "$about" || exit 1
    seed=$((seed + 1))
    left=$((left - portion))
done
