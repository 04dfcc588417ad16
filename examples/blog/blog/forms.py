"""What comes in from the browser."""

from django import forms


class PostForm(forms.Form):
    """A post to publish."""

    title = forms.CharField(max_length=200)
    text = forms.CharField()


class FollowForm(forms.Form):
    """Somebody who wants to follow."""

    email = forms.EmailField()
