# SPDX-License-Identifier: MIT
#
# For the awk programs of the plots: spread(v, k) sorts v[1] .. v[k] and says "median least most".
awk_spread='
    function spread(v, k,    i, j, t) {
        for (i = 2; i <= k; i++)
            for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return (k % 2 ? v[(k + 1) / 2] : (v[k / 2] + v[k / 2 + 1]) / 2) " " v[1] " " v[k]
    }'
