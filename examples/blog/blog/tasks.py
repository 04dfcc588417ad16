"""What the worker does. Tasks take primary keys, and load the objects when they run."""

from django.core.mail import EmailMessage

from blog.gator import gator
from blog.models import Follower, Post
from typedgator import Cancel, current_job


@gator.register(retries=3)
def announce(post_id: int) -> int:
    """Queues a mail to each follower: when one cannot be sent, only that one is tried again.

    The ids make it safe to run twice, as a task may whose worker was killed: the same id again is the same job.
    """
    followers = [follower.pk for follower in Follower.objects.all()]
    for follower_id in followers:
        with gator.options(job_id=f"post-{post_id}-to-{follower_id}") as opts:
            opts.task(send_post, post_id, follower_id)
    return len(followers)


@gator.register(retries=8, backoff=1)
def send_post(post_id: int, follower_id: int) -> None:
    """Sends a post to a follower. A mail server that is away for a minute is no reason to lose a mail."""
    post = Post.objects.filter(pk=post_id).first()
    follower = Follower.objects.filter(pk=follower_id).first()
    if post is None or follower is None:
        raise Cancel("the post or the follower is gone")
    EmailMessage(
        subject=post.title,
        body=post.text,
        to=[follower.email],
        # Sent twice, when the worker was killed right after, it still is one mail to a mailbox that compares ids.
        headers={"Message-ID": f"<{current_job().id}@blog.example.com>"},
    ).send()
