#!/usr/bin/env python3
"""Django's command line for this site: `python manage.py runserver`, `gator_worker`, `check`, …"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "blog.settings")
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
