"""Three addresses."""

from django.urls import path

from blog import views

urlpatterns = [
    path("", views.index, name="index"),
    path("publish", views.publish, name="publish"),
    path("follow", views.follow, name="follow"),
]
