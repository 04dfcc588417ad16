#!lua flags=allow-oom
-- Ends attempts.
-- KEYS    the fixed ones, own and idle of the worker, then ready and wake of each queue
-- ARGV    version of the queues, '', worker, settlements as parts/settling.lua says
-- Result  {'ok', numbers from 1 of the lost, ends to tell of}
-- Cost    O(n) for jobs that went well, else O(n log N), and what depends on them; the bytes of the batches
--         that they are in
-- Needs   numbers counting keys batches clock roster memory lines ending moves settling
local lost = settle(ARGV[3], KEYS[33], KEYS[34], 4, #ARGV)
return {'ok', lost, told}
