#!lua flags=allow-oom
-- Ends attempts, then claims.
-- KEYS    the fixed ones, own and idle of the worker, then ready and wake of each queue
-- ARGV    version of the queues, '', worker, limit, greatest token seen, number of queues, queues to serve, settlements
-- Result  {'ok', numbers from 1 of the lost, claim as parts/claiming.lua says, ends to tell of}
-- Cost    that of settle and of claim
-- Needs   numbers counting keys batches clock roster memory lines ending moves settling claiming
local n = tonumber(ARGV[6])
local lost = settle(ARGV[3], KEYS[33], KEYS[34], 7 + n, #ARGV)
local served = {}
for i = 1, n do served[i] = ARGV[6 + i] end
local answer = claim(ARGV[3], KEYS[33], tonumber(ARGV[4]), tonumber(ARGV[5]), '0', served)
return {'ok', lost, answer, told}
