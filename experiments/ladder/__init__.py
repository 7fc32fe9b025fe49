"""Ladder DenseNet"""
