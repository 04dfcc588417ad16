#!lua
-- Accepts jobs of any kind, all or none: a parent that is not known refuses them all before anything is written.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    of each job: id, first 4 bytes, queue and envelope, delay ms, expires in ms or '', unique key or '',
--         number of parents, parents
-- Result  {'unknown', parent}, or {'ok', what stands for each job: '' when it is new, else an id, ends to tell of}
-- Cost    O(n log N), and what is canceled with its parents
-- Needs   numbers keys clock versions memory lines ending
local jobs, born, keys, stands_for, looked_at = {}, {}, {}, {}, {}
local at = 1
while ARGV[at] do
  local job = {id = ARGV[at], head = ARGV[at + 1], rest = ARGV[at + 2], delay = tonumber(ARGV[at + 3]),
               expires = tonumber(ARGV[at + 4]), key = ARGV[at + 5], parents = {}}
  local n = tonumber(ARGV[at + 6])
  for i = 1, n do job.parents[i] = ARGV[at + 6 + i] end
  at = at + 7 + n
  jobs[#jobs + 1] = job
end

-- First all is decided, as if each had been written after the one before.
for _, job in ipairs(jobs) do
  local holder
  if born[job.id] or C('HEXISTS', frames, job.id) == 1 or ended(job.id) then
    holder = job.id
  elseif job.key ~= '' then
    holder = keys[job.key] or C('HGET', unique, job.key) or nil
  end
  if holder then
    job.holder = holder
  else
    job.waits_for, job.doomed = {}, false
    for _, said in ipairs(job.parents) do
      local parent = stands_for[said] or said
      local twin = born[parent]
      if twin then
        if twin.doomed then job.doomed = true else job.waits_for[parent] = true end
      elseif C('HEXISTS', frames, parent) == 1 then
        if C('ZSCORE', dead, parent) then job.doomed = true else job.waits_for[parent] = true end
      else
        local known = ended(parent)
        if not known then return {'unknown', parent} end
        if byte(known) ~= 115 then job.doomed = true end
      end
    end
    born[job.id] = job
    if job.key ~= '' and not job.doomed then keys[job.key] = job.id end
  end
  stands_for[job.id] = holder or job.id
  local queue = sub(job.rest, 2, 1 + byte(job.rest, 1))
  if not looked_at[queue] then
    looked_at[queue] = true
    C('ZCARD', ready(queue)) -- raises where another client has put something else, before anything is written
  end
end

local answers = {}
for i, job in ipairs(jobs) do
  answers[i] = job.holder or ''
  if not job.holder then
    local id = job.id
    local frame = job.head .. struct.pack('>I8I8', now, job.expires and now + job.expires or 0) .. job.rest
    local queue = queue_of(frame)
    C('HSET', frames, id, frame)
    if C('SADD', queues, queue) == 1 then renew('queues') end
    if job.key ~= '' then
      C('HSET', unique_of, id, job.key)
      if not job.doomed then C('HSET', unique, job.key, id) end
    end
    if job.doomed then
      close(id, frame, {}, 'c', 'dependency')
    else
      if job.expires then C('ZADD', expiring, int(now + job.expires), id) end
      if next(job.waits_for) then
        for parent in pairs(job.waits_for) do
          C('ZADD', kids, 0, named(parent) .. id)
          C('ZADD', blocked, 0, named(id) .. parent)
        end
        count('blocked', queue, 1)
        if job.delay > 0 then save(id, {d = now + job.delay}) end
      elseif job.delay > 0 then
        count('scheduled', queue, 1)
        delay(id, frame, now + job.delay)
      else
        line_up(id, frame)
      end
    end
  end
end
return {'ok', answers, told}
