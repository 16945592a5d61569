"""The pure half: facts in, plans out. Nothing here touches AWS, a clock, the environment or a log."""
