-- The clock of a test: it stands where the test has put it.
local now = tonumber(C('GET', clock))
local now_us = now * 1000
