#!lua flags=allow-oom
-- Jobs for a worker: first those whose reply was lost, else new ones.
-- KEYS    the fixed ones, own and idle of the worker, then ready and wake of each queue
-- ARGV    version of the queues, '', worker, limit, greatest token seen, '1' when it was waiting, queues to serve
-- Result  {'ok', claim as parts/claiming.lua says, ends to tell of}
-- Cost    O(n log N), and what is due
-- Needs   numbers counting keys batches clock roster memory lines ending moves claiming
local served = {}
for i = 7, #ARGV do served[#served + 1] = ARGV[i] end
local answer = claim(ARGV[3], KEYS[33], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], served)
return {'ok', answer, told}
