"""ResNet-DUC-HDC"""
