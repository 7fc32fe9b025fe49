"""FCRN"""
