"""What runs on your own machine and is never deployed: the ``bulwark`` command and the account in memory."""
