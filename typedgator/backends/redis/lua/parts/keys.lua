-- The fixed keys of a namespace, in the order of keys.py, and words that all use.
local C = redis.call
local meta, frames, delayed, beats, workers, queues = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local done0, done1, kept, keep, results, recs = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local unique, unique_of, kids, blocked, expiring = KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17]
local held, held_of, kinds, dead, cancels = KEYS[18], KEYS[19], KEYS[20], KEYS[21], KEYS[22]
local notes, suspects, waiters, tally, paused = KEYS[23], KEYS[24], KEYS[25], KEYS[26], KEYS[27]
local over, late0, late1, everyone, clock = KEYS[28], KEYS[29], KEYS[30], KEYS[31], KEYS[32]
local prefix = string.sub(meta, 1, -5)

local function ready(queue) return prefix .. 'ready:' .. queue end
local function own(worker) return prefix .. 'own:' .. worker end
