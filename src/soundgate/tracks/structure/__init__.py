"""Do codec latents hold reusable local structure?"""
