"""Posts, and who wants to hear of them."""

from django.db import models


class Post(models.Model):
    """What the author wrote."""

    title = models.CharField(max_length=200)
    text = models.TextField()


class Follower(models.Model):
    """Somebody who gets a mail for each post."""

    email = models.EmailField(unique=True)
