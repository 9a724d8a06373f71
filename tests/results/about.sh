#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first columns of a line of campaigns.tsv: date, commit, machine.  The fourth, the compiler, is said by
# whoever compiled: a script, or the program itself (tests/lib/campaign.h).
#
#   about.sh
#
# A campaign asks once, when it begins: its programs are of that commit, wherever HEAD is when they end.
set -u
commit=$(cd "$(dirname "$0")" && git rev-parse --short HEAD) || exit 1
system=$(sed -n 's/^PRETTY_NAME="\([A-Za-z]*\).* \([0-9.]*\) .*"$/\1 \2/p' /etc/os-release)
machine="$(nproc) cores $(uname -m | tr _ -), $(uname -s) $(uname -r | cut -d . -f 1,2), $system"
printf '%s\t%s\t%s\n' "$(date +%Y-%m-%d)" "$commit" "$machine"
