#!lua flags=allow-oom
-- Ends lapsed workers: one crash more for each of their jobs, which come back or fail.
-- KEYS    the fixed ones, own and idle of each worker, then ready and wake of each queue
-- ARGV    version of the queues, '', limit, workers
-- Result  {'ok', jobs that came back, jobs that failed, ends to tell of}
-- Cost    O(n log N), n the jobs that they have; at most `limit` come back or fail, the rest with the next call
-- Needs   numbers counting keys batches clock versions roster memory lines ending moves
local limit, lapsed, jobs = tonumber(ARGV[3]), {}, {}
for i = 4, #ARGV do
  local worker, owner, idle = ARGV[i], KEYS[33 + 2 * (i - 4)], KEYS[34 + 2 * (i - 4)]
  local ends = C('ZSCORE', beats, worker)
  if ends and tonumber(ends) <= now then
    -- Over before its first job is touched: from now on its beats come too late, also when the limit stops us.
    C('ZREM', beats, worker)
    C('ZADD', over, ends, worker)
    C('HDEL', workers, worker)
  end
  if C('ZSCORE', over, worker) then
    lapsed[#lapsed + 1] = {worker, owner, idle}
    leave_rest(owner, true)
    for _, each in ipairs(owned_by(owner)) do
      each[3] = owner
      jobs[#jobs + 1] = each
    end
  end
end
table.sort(jobs, function(a, b) return a[1] < b[1] end)
local back, failed = 0, 0
for i = 1, math.min(#jobs, limit) do
  local id, owner = jobs[i][2], jobs[i][3]
  local frame, rec = frame_of(id), load(id)
  C('HDEL', owner, id)
  local asked = forget_run(id)
  rec.a, rec.c, rec.x, rec.h = (rec.a or 0) + 1, (rec.c or 0) + 1, 1, nil
  if not frame then
    -- Nobody knows what it was.
  elseif rec.c > byte(frame, 4) then
    close(id, frame, rec, 'f', 'crashed')
    settle_dependents()
    failed = failed + 1
  else
    come_back(id, frame, rec, asked)
    back = back + 1
  end
end
for _, each in ipairs(lapsed) do
  if C('HLEN', each[2]) <= 1 then
    C('DEL', each[2], each[3])
    C('ZREM', over, each[1])
    renew('crew')
  end
end
return {'ok', back, failed, told}
