#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A long run in portions of ten minutes.  Each portion has a seed of its own and appends its line to
# tests/results/campaigns.tsv, so a run that is interrupted loses a portion at most, and the next goes on.
#
#   campaign.sh TORTURE SECONDS [FILE]
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
torture=$1
left=$2
file=${3:-$here/../results/campaigns.tsv}
portion=600

about=$(sh "$here/../results/about.sh") || exit 1
while [ "$left" -gt 0 ]; do
    [ "$left" -gt "$portion" ] || portion=$left
    "$torture" --seconds "$portion" --append "$file" --about "$about" || exit 1
    left=$((left - portion))
done
