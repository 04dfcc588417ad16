"""taskiq on a Redis list, whose jobs are lost with the worker that runs them."""

from taskiq_redis import ListQueueBroker

from benchmarks.peers.adapter import URL
from benchmarks.peers.adapters.taskiq_tasks import Taskiq

broker = ListQueueBroker(URL)
ADAPTER = Taskiq(broker, "benchmarks.peers.adapters.taskiq_list:broker")
