"""The page, and its two forms."""

import mailbox

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from blog.forms import FollowForm, PostForm
from blog.gator import gator
from blog.models import Follower, Post
from blog.tasks import announce

MAILBOX = "mail"
"""Where the mail server of `python -m blog` puts what it gets."""


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Posts, followers, and the mails that have arrived."""
    return page(request)


@require_POST
def publish(request: HttpRequest) -> HttpResponse:
    """Keeps a post and queues its mails, both or neither; who posts waits for neither."""
    form = PostForm(request.POST)
    if not form.is_valid():
        return page(request, form.errors)
    with transaction.atomic():
        post = Post.objects.create(title=form.cleaned_data["title"], text=form.cleaned_data["text"])
        gator.outbox().task(announce, post.pk)
    return redirect("index")


@require_POST
def follow(request: HttpRequest) -> HttpResponse:
    """Takes an address."""
    form = FollowForm(request.POST)
    if not form.is_valid():
        return page(request, form.errors)
    Follower.objects.get_or_create(email=form.cleaned_data["email"])
    return redirect("index")


def page(request: HttpRequest, errors: object = None) -> HttpResponse:
    """The one page; with errors, it says 400."""
    context = {
        "posts": Post.objects.order_by("-pk"),
        "followers": Follower.objects.order_by("email"),
        "mails": [{"to": mail["To"], "subject": mail["Subject"]} for mail in mailbox.Maildir(MAILBOX, create=True)],
        "errors": errors,
    }
    return render(request, "blog/index.html", context, status=400 if errors else 200)
