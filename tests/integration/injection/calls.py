"""Calls of the candidates. `# refused`: all four checkers say so. `# unseen`: none does."""

from candidate import Session, by_default, gator, send

send.task(1, urgent=True)
gator.task(send, user_id=1)
send.task("1")  # refused: of another type
send.task(1, urgnt=True)  # refused: misspelt
send.task(Session(), 1)  # refused: the dependency has vanished
send.task()  # refused: missing
send(Session(), 1)  # refused: and a test cannot pass a session of its own
by_default.task(1)
by_default.task(1, db=Session())  # unseen: it has not vanished
by_default.task(1, Session())  # unseen: by position neither
