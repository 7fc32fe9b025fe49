"""SUNet"""
