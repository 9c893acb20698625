"""Stages of track `structure`: do codec latents hold reusable local structure?"""
