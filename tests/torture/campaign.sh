#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A long run in portions of ten minutes.  Each portion has a seed of its own and appends its line to
# tests/results/campaigns.tsv, so a run that is interrupted loses a portion at most, and the next goes on.
#
#   campaign.sh TORTURE SECONDS
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
torture=$1
left=$2
portion=600

system=$(sed -n 's/^PRETTY_NAME="\([A-Za-z]*\).* \([0-9.]*\) .*"$/\1 \2/p' /etc/os-release)
machine="$(nproc) cores $(uname -m | tr _ -), $(uname -s) $(uname -r | cut -d . -f 1,2), $system"
compiler=$(gcc --version | sed -n '1s/^\([a-z]*\).* \([0-9][0-9.]*\)$/\1 \2/p')
commit=$(cd "$here" && git rev-parse --short HEAD) || exit 1
while [ "$left" -gt 0 ]; do
    [ "$left" -gt "$portion" ] || portion=$left
    "$torture" --seconds "$portion" --append "$here/../results/campaigns.tsv" \
        --about "$(date +%Y-%m-%d)	$commit	$machine	$compiler -O2" || exit 1
    left=$((left - portion))
done
