"""Every law over every rule, stages against the papers, and rules that are wrong on purpose."""
