"""Radiographs, labels and expert masks: from files on disk to shards at the model's resolution."""
