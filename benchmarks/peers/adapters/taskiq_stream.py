"""taskiq on a Redis stream."""

from taskiq_redis import RedisStreamBroker

from benchmarks.peers.adapter import URL
from benchmarks.peers.adapters.taskiq_tasks import Taskiq

broker = RedisStreamBroker(URL, consumer_id="0")
ADAPTER = Taskiq(broker, "benchmarks.peers.adapters.taskiq_stream:broker")
