"""Bulwark: keeps Amazon ECS clusters on EC2 upright. What ships beside the functions."""
